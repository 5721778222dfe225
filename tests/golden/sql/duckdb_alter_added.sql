CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" BIGINT, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
-- version 2
ALTER TABLE "public"."t" ADD COLUMN "nothing" VARCHAR;
ALTER TABLE "public"."t" ADD COLUMN "t" VARCHAR DEFAULT 'it''s \ "ä"
';
ALTER TABLE "public"."t" ALTER COLUMN "t" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "n" INTEGER DEFAULT '-7';
ALTER TABLE "public"."t" ALTER COLUMN "n" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "d" DECIMAL(10,2) DEFAULT '-0.10';
ALTER TABLE "public"."t" ALTER COLUMN "d" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "b" BLOB DEFAULT '\x00\x27\x5C\xFF';
ALTER TABLE "public"."t" ALTER COLUMN "b" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "at" TIMESTAMP WITH TIME ZONE DEFAULT '0045-09-21 (BC) 02:02:03.000001+00';
ALTER TABLE "public"."t" ALTER COLUMN "at" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "l" VARCHAR DEFAULT '{"a b",NULL}';
ALTER TABLE "public"."t" ALTER COLUMN "l" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "f" DOUBLE DEFAULT '0';
ALTER TABLE "public"."t" ALTER COLUMN "f" DROP DEFAULT;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "nothing" VARCHAR, "t" VARCHAR, "n" INTEGER, "d" DECIMAL(10,2), "b" BLOB, "at" TIMESTAMP WITH TIME ZONE, "l" VARCHAR, "f" DOUBLE, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "nothing", "t", "n", "d", "b", "at", "l", "f", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."nothing", s."t", s."n", s."d", s."b", s."at", s."l", s."f", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
