CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."pairs" ("a" INTEGER, "b" UUID, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
CREATE TABLE "public"."_penstock_load_1" ("a" INTEGER, "b" UUID, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" INTEGER, "_penstock_o2" UUID, "a" INTEGER, "b" UUID, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."pairs";
DELETE FROM "public"."pairs" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."a" = s."a" AND t."b" = s."b";
INSERT INTO "public"."pairs" ("a", "b", "_penstock_csn", "_penstock_committed_at") SELECT s."a", s."b", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" INTEGER, "_penstock_o2" UUID, "a" INTEGER, "b" UUID, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
INSERT INTO "public"."_penstock_load_1" ("a", "b", "_penstock_csn", "_penstock_committed_at") SELECT s."a", s."b", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s;
