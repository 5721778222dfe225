CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" BIGINT, "Name" VARCHAR, "b" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "b" TO "NAME_eaa58932";
ALTER TABLE "public"."t" ADD COLUMN "name_82a3537f" VARCHAR;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "Name" VARCHAR, "NAME_eaa58932" VARCHAR, "name_82a3537f" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "Name", "NAME_eaa58932", "name_82a3537f", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."Name", s."NAME_eaa58932", s."name_82a3537f", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
-- version 3
ALTER TABLE "public"."t" ADD COLUMN "namE_ea142cb5" VARCHAR;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "NAME_eaa58932" VARCHAR, "name_82a3537f" VARCHAR, "namE_ea142cb5" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "NAME_eaa58932", "name_82a3537f", "namE_ea142cb5", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."NAME_eaa58932", s."name_82a3537f", s."namE_ea142cb5", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
-- version 4
ALTER TABLE "public"."t" RENAME COLUMN "NAME_eaa58932" TO "Other";
ALTER TABLE "public"."t" RENAME COLUMN "name_82a3537f" TO "naMe_70d49df1";
ALTER TABLE "public"."t" ADD COLUMN "Name_dcd1d522" VARCHAR;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "_penstock_o1" BIGINT, "id" BIGINT, "Other" VARCHAR, "naMe_70d49df1" VARCHAR, "namE_ea142cb5" VARCHAR, "Name_dcd1d522" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" AS t USING temp.main."_penstock_stage_16385" AS s WHERE t."id" = s."id";
INSERT INTO "public"."t" ("id", "Other", "naMe_70d49df1", "namE_ea142cb5", "Name_dcd1d522", "_penstock_csn", "_penstock_committed_at") SELECT s."id", s."Other", s."naMe_70d49df1", s."namE_ea142cb5", s."Name_dcd1d522", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
