CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" bigint NOT NULL, "a" text, "a__dropped_2" text, "c" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "a" TO "a__dropped_2_2";
ALTER TABLE "public"."t" RENAME COLUMN "c" TO "a";
ALTER TABLE "public"."t" ADD COLUMN "c" text;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "a__dropped_2" text, "a" text, "c" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."a__dropped_2", s."a", s."c", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "a__dropped_2" = s."a__dropped_2", "a" = s."a", "c" = s."c", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at", "a__dropped_2_2" = NULL WHEN NOT MATCHED THEN INSERT ("id", "a__dropped_2", "a", "c", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."a__dropped_2", s."a", s."c", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
