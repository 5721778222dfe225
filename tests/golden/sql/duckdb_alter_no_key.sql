CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE "public"."t" ("a" VARCHAR, "b" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
-- version 2
ALTER TABLE "public"."t" RENAME COLUMN "a" TO "a__dropped_1";
ALTER TABLE "public"."t" RENAME COLUMN "b" TO "a";
ALTER TABLE "public"."t" ADD COLUMN "b" VARCHAR DEFAULT '10.0.0.1';
ALTER TABLE "public"."t" ALTER COLUMN "b" DROP DEFAULT;
CREATE OR REPLACE TEMP TABLE "_penstock_stage_16385" ("_penstock_op" SMALLINT, "_penstock_mask" VARCHAR, "a" VARCHAR, "b" VARCHAR, "_penstock_csn" BIGINT, "_penstock_committed_at" TIMESTAMP WITH TIME ZONE);
DELETE FROM "public"."t" WHERE rowid IN (SELECT m.r FROM (SELECT t.rowid AS r, d.n AS n, row_number() OVER (PARTITION BY d.id) AS i FROM "public"."t" AS t JOIN (SELECT coalesce('v' || CAST(s."a" AS VARCHAR), 'n') AS k1, coalesce('v' || CAST(s."b" AS VARCHAR), 'n') AS k2, count(*) AS n, row_number() OVER () AS id FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 0 GROUP BY 1, 2) AS d ON d.k1 = coalesce('v' || CAST(t."a" AS VARCHAR), 'n') AND d.k2 = coalesce('v' || CAST(t."b" AS VARCHAR), 'n')) AS m WHERE m.i <= m.n);
INSERT INTO "public"."t" ("a", "b", "_penstock_csn", "_penstock_committed_at") SELECT s."a", s."b", s."_penstock_csn", s."_penstock_committed_at" FROM temp.main."_penstock_stage_16385" AS s WHERE s."_penstock_op" = 1;
DROP TABLE "_penstock_stage_16385";
