CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("a" text, "b" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "a" TO "a__dropped_1";
ALTER TABLE "public"."t" RENAME COLUMN "b" TO "a";
ALTER TABLE "public"."t" ADD COLUMN "b" inet DEFAULT '10.0.0.1';
ALTER TABLE "public"."t" ALTER COLUMN "b" DROP DEFAULT;
CREATE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" smallint, "_penstock_mask" text, "a" text, "b" text, "_penstock_csn" bigint, "_penstock_committed_at" timestamp with time zone);
DELETE FROM "public"."t" WHERE ctid IN (SELECT m.r FROM (SELECT t.ctid AS r, d.n AS n, row_number() OVER (PARTITION BY d.id) AS i FROM "public"."t" AS t JOIN (SELECT CASE WHEN s."a" IS NULL THEN 'n' ELSE concat('v', s."a") END AS k1, CASE WHEN CAST(s."b" AS inet) IS NULL THEN 'n' ELSE concat('v', CAST(s."b" AS inet)) END AS k2, count(*) AS n, row_number() OVER () AS id FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 GROUP BY 1, 2) AS d ON d.k1 = CASE WHEN t."a" IS NULL THEN 'n' ELSE concat('v', t."a") END AND d.k2 = CASE WHEN t."b" IS NULL THEN 'n' ELSE concat('v', t."b") END) AS m WHERE m.i <= m.n);
INSERT INTO "public"."t" ("a", "b", "_penstock_csn", "_penstock_committed_at") SELECT s."a", CAST(s."b" AS inet) AS "b", s."_penstock_csn", s."_penstock_committed_at" FROM pg_temp."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
