CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" BIGINT, "a" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "id" TO "key";
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "key" BIGINT, "a" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."key" = s."key";
INSERT INTO "public"."t" ("key", "a", "_penstock_csn", "_penstock_committed_at") SELECT s."key", s."a", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
