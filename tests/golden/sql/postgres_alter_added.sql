CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("id" bigint NOT NULL, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" ADD COLUMN "nothing" text;
ALTER TABLE "public"."t" ADD COLUMN "t" text DEFAULT 'it''s \ "ä"
';
ALTER TABLE "public"."t" ALTER COLUMN "t" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "n" integer DEFAULT '-7';
ALTER TABLE "public"."t" ALTER COLUMN "n" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "d" numeric(10,2) DEFAULT '-0.10';
ALTER TABLE "public"."t" ALTER COLUMN "d" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "b" bytea DEFAULT '\x00275cff';
ALTER TABLE "public"."t" ALTER COLUMN "b" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "at" timestamp with time zone DEFAULT '0045-09-21 02:02:03.000001+00 BC';
ALTER TABLE "public"."t" ALTER COLUMN "at" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "l" text[] DEFAULT '{"a b",NULL}';
ALTER TABLE "public"."t" ALTER COLUMN "l" DROP DEFAULT;
ALTER TABLE "public"."t" ADD COLUMN "f" double precision DEFAULT '-0';
ALTER TABLE "public"."t" ALTER COLUMN "f" DROP DEFAULT;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "_penstock_o1" bigint, "id" bigint, "nothing" text, "t" text, "n" integer, "d" numeric(10,2), "b" bytea, "at" timestamp with time zone, "l" text, "f" double precision, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" AS t USING pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 AND t."id" = s."id";
MERGE INTO "public"."t" AS t USING (SELECT s."id", s."nothing", s."t", s."n", s."d", s."b", s."at", CAST(s."l" AS text[]) AS "l", s."f", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1) AS s ON t."id" = s."id" WHEN MATCHED THEN UPDATE SET "nothing" = s."nothing", "t" = s."t", "n" = s."n", "d" = s."d", "b" = s."b", "at" = s."at", "l" = s."l", "f" = s."f", "_penstock_csn" = s."_penstock_csn", "_penstock_committed_at" = s."_penstock_committed_at" WHEN NOT MATCHED THEN INSERT ("id", "nothing", "t", "n", "d", "b", "at", "l", "f", "_penstock_csn", "_penstock_committed_at") VALUES (s."id", s."nothing", s."t", s."n", s."d", s."b", s."at", s."l", s."f", s."_penstock_csn", s."_penstock_committed_at");
DROP TABLE "_penstock_stage_16385";
