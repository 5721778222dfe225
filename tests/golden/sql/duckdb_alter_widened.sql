CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" BIGINT, "v" VARCHAR, "d" DECIMAL(10,2), "ts" TIMESTAMP, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
-- version 2
ALTER TABLE "public"."t" ALTER COLUMN "d" SET DATA TYPE DECIMAL(12,2);
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "v" VARCHAR, "d" DECIMAL(12,2), "ts" TIMESTAMP, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "v", "d", "ts", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."v", s."d", s."ts", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
-- version 3
ALTER TABLE "public"."t" RENAME COLUMN "v" TO "v2";
ALTER TABLE "public"."t" ALTER COLUMN "d" SET DATA TYPE VARCHAR;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "v2" VARCHAR, "d" VARCHAR, "ts" TIMESTAMP, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "v2", "d", "ts", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."v2", s."d", s."ts", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
