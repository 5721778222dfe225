CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" BIGINT, "a" VARCHAR, "a__dropped_2" VARCHAR, "c" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "a" TO "a__dropped_2_2";
ALTER TABLE "public"."t" RENAME COLUMN "c" TO "a";
ALTER TABLE "public"."t" ADD COLUMN "c" VARCHAR;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "a__dropped_2" VARCHAR, "a" VARCHAR, "c" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "a__dropped_2", "a", "c", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."a__dropped_2", s."a", s."c", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
