CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" bigint NOT NULL, "v" character varying(3), "d" numeric(10,2), "ts" timestamp(3) without time zone, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" ALTER COLUMN "v" SET DATA TYPE character varying(9);
ALTER TABLE "public"."t" ALTER COLUMN "d" SET DATA TYPE numeric(12,2);
ALTER TABLE "public"."t" ALTER COLUMN "ts" SET DATA TYPE timestamp without time zone;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "v" character varying(9), "d" numeric(12,2), "ts" timestamp without time zone, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."v", s."d", s."ts", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "v" = s."v", "d" = s."d", "ts" = s."ts", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at" WHEN NOT MATCHED THEN INSERT ("id", "v", "d", "ts", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."v", s."d", s."ts", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
-- version 3
ALTER TABLE "public"."t" RENAME COLUMN "v" TO "v2";
ALTER TABLE "public"."t" ALTER COLUMN "v2" SET DATA TYPE text;
ALTER TABLE "public"."t" ALTER COLUMN "d" SET DATA TYPE numeric;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "v2" text, "d" numeric, "ts" timestamp without time zone, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."v2", s."d", s."ts", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "v2" = s."v2", "d" = s."d", "ts" = s."ts", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at" WHEN NOT MATCHED THEN INSERT ("id", "v2", "d", "ts", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."v2", s."d", s."ts", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
