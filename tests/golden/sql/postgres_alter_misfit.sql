CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" bigint NOT NULL, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" ADD COLUMN "d" smallint DEFAULT 'a number with more decimal places than the column';
ALTER TABLE "public"."t" ALTER COLUMN "d" DROP DEFAULT;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "d" numeric(10,2), "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."d", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "d" = s."d", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at" WHEN NOT MATCHED THEN INSERT ("id", "d", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."d", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
