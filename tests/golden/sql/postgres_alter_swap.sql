CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" bigint NOT NULL, "a" text, "b" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "a" TO "_penstock_rename_1";
ALTER TABLE "public"."t" RENAME COLUMN "b" TO "a";
ALTER TABLE "public"."t" RENAME COLUMN "_penstock_rename_1" TO "b";
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "b" text, "a" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."b", s."a", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "b" = s."b", "a" = s."a", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at" WHEN NOT MATCHED THEN INSERT ("id", "b", "a", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."b", s."a", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
