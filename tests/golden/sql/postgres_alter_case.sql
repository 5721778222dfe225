CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" bigint NOT NULL, "Name" text, "b" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "b" TO "NAME";
ALTER TABLE "public"."t" ADD COLUMN "name" text;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "Name" text, "NAME" text, "name" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."Name", s."NAME", s."name", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "Name" = s."Name", "NAME" = s."NAME", "name" = s."name", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at" WHEN NOT MATCHED THEN INSERT ("id", "Name", "NAME", "name", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."Name", s."NAME", s."name", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
-- version 3
ALTER TABLE "public"."t" ADD COLUMN "namE" text;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "NAME" text, "name" text, "namE" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."NAME", s."name", s."namE", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "NAME" = s."NAME", "name" = s."name", "namE" = s."namE", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at", "Name" = NULL WHEN NOT MATCHED THEN INSERT ("id", "NAME", "name", "namE", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."NAME", s."name", s."namE", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
-- version 4
ALTER TABLE "public"."t" RENAME COLUMN "Name" TO "Name__dropped_2";
ALTER TABLE "public"."t" RENAME COLUMN "NAME" TO "Other";
ALTER TABLE "public"."t" RENAME COLUMN "name" TO "naMe";
ALTER TABLE "public"."t" ADD COLUMN "Name" text;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "Other" text, "naMe" text, "namE" text, "Name" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."Other", s."naMe", s."namE", s."Name", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "Other" = s."Other", "naMe" = s."naMe", "namE" = s."namE", "Name" = s."Name", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at", "Name__dropped_2" = NULL WHEN NOT MATCHED THEN INSERT ("id", "Other", "naMe", "namE", "Name", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."Other", s."naMe", s."namE", s."Name", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
