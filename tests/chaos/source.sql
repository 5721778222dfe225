-- SPDX-License-Identifier: Apache-2.0
-- The source of the random workload: tables, and functions that make a random statement for a table
-- as it is now (columns come and go), run it and answer with its text, for the record. Everything
-- random in them follows from the number that they are given.

CREATE TABLE kv (id int PRIMARY KEY, v varchar(40), n int NOT NULL, code bigint UNIQUE);
CREATE TABLE names (a text NOT NULL, b text NOT NULL, v text, w numeric(8,2), PRIMARY KEY (b, a));
CREATE TABLE docs (id int PRIMARY KEY, title text, body text, extra text, n int);
ALTER TABLE docs ALTER body SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
CREATE TABLE lines (line text, n int, big text);
ALTER TABLE lines ALTER big SET STORAGE EXTERNAL;
ALTER TABLE lines REPLICA IDENTITY FULL;
CREATE TABLE parts (id int, v text, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (MINVALUE) TO (150);
CREATE TABLE parts_b (n int, id int NOT NULL, v text);
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES FROM (150) TO (300);
CREATE TABLE parts_c PARTITION OF parts DEFAULT;
CREATE TABLE kinds (id bigint PRIMARY KEY, at timestamptz, day date, u uuid, ok boolean,
    f double precision, list int[], j jsonb, num numeric(10,2));
CREATE TABLE scratch (id int PRIMARY KEY, v text);
CREATE TABLE swapped (id int PRIMARY KEY, v text, n int);
CREATE TABLE marks_a (id int PRIMARY KEY, tx bigint NOT NULL, pad text);
CREATE TABLE marks_b (id int PRIMARY KEY, tx bigint NOT NULL, pad text);
ALTER TABLE marks_a ALTER pad SET STORAGE EXTERNAL;
ALTER TABLE marks_b ALTER pad SET STORAGE EXTERNAL;
INSERT INTO marks_a SELECT i, 0, repeat(md5(i::text), 90) FROM generate_series(1, 20) i;
INSERT INTO marks_b SELECT * FROM marks_a;

CREATE SCHEMA chaos;

-- An expression of that type in terms of a bigint expression g; null where it may be.
CREATE FUNCTION chaos.expr(type text, g text, required boolean) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN required THEN e ELSE format('CASE WHEN %s %% 13 <> 5 THEN %s END', g, e) END
    FROM (SELECT CASE
        WHEN type IN ('smallint', 'integer', 'bigint') THEN format('(%s * 7919) %% 1000', g)
        WHEN type LIKE 'numeric%' THEN format('((%s * 7919) %% 9999) / 100.0', g)
        WHEN type LIKE 'character varying(%' THEN format('left(''v'' || %s || repeat(chr(228), 99), '
            '1 + (%s %% %s)::int)', g, g, substring(type FROM '\d+'))
        WHEN type = 'timestamp with time zone' THEN format('''2024-01-01 UTC''::timestamptz + %s * '
            '''1.000001 s''::interval', g)
        WHEN type = 'date' THEN format('''2024-01-01''::date + (%s %% 999)::int', g)
        WHEN type = 'uuid' THEN format('md5((%s)::text)::uuid', g)
        WHEN type = 'boolean' THEN format('%s %% 2 = 0', g)
        WHEN type = 'double precision' THEN format('%s / 7.0::double precision', g)
        WHEN type = 'integer[]' THEN format('ARRAY[%s %% 9, NULL, 3]::int[]', g)
        WHEN type = 'jsonb' THEN format('jsonb_build_object(''k'', %s, ''t'', repeat(''y'', (%s %% '
            '5)::int))', g, g)
        ELSE format('CASE %s %% 7 WHEN 0 THEN '''' WHEN 1 THEN repeat(md5((%s)::text), 90) WHEN 2 '
            'THEN E''tab\tline\nback\\slash"quote'''''' || %s ELSE ''v'' || %s END', g, g, g, g)
    END) x(e)
$$;

CREATE TYPE chaos.col AS (name text, type text, key boolean, required boolean, pos bigint);
CREATE FUNCTION chaos.cols(tab regclass) RETURNS SETOF chaos.col LANGUAGE sql AS $$
    SELECT attname, format_type(atttypid, atttypmod), coalesce(attnum = ANY(i.indkey), false),
           attnotnull, row_number() OVER (ORDER BY attnum)
    FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = attrelid AND i.indisprimary
    WHERE attrelid = tab AND attnum > 0 AND NOT attisdropped
$$;

-- One column that is not of a key; null if there is none.
CREATE FUNCTION chaos.pick_col(tab regclass, r bigint) RETURNS chaos.col LANGUAGE sql AS $$
    SELECT c FROM chaos.cols(tab) c WHERE NOT c.key AND name NOT IN ('id', 'code')
    ORDER BY md5(c.pos || ':' || r) LIMIT 1
$$;

-- A condition for so many rows.
CREATE FUNCTION chaos.some(tab regclass, r bigint, n int) RETURNS text LANGUAGE sql AS $$
    SELECT format('(tableoid, ctid) IN (SELECT tableoid, ctid FROM %s ORDER BY md5(ctid::text || %s) '
                  'LIMIT %s)', tab, r, n)
$$;

CREATE FUNCTION chaos.key_expr(type text, g text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN type IN ('integer', 'bigint') THEN format('(%s * 7919) %% 400', g)
           ELSE format('(ARRAY[''x'', '''', '' pad '', ''ä'', ''back\slash'', E''t\tn\n''])[1 + (%s %% '
                '6)::int] || (%s * 7919) %% 40', g, g) END
$$;

CREATE FUNCTION chaos.insert(tab regclass, r bigint, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text; held bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', tab) INTO held;
    IF held > 700 THEN
        q := format('DELETE FROM %s WHERE %s', tab, chaos.some(tab, r, 400));
        EXECUTE q;
        RETURN q;
    END IF;
    SELECT format('INSERT INTO %s (%s) SELECT %s FROM generate_series(%s::bigint, %s) g ON CONFLICT DO '
                  'NOTHING', tab, string_agg(quote_ident(name), ', ' ORDER BY pos),
                  string_agg(CASE WHEN key THEN chaos.key_expr(type, 'g')
                             ELSE chaos.expr(type, '(g + ' || pos || ')', required) END, ', ' ORDER BY pos),
                  r % 100000, r % 100000 + n - 1)
    INTO q FROM chaos.cols(tab);
    EXECUTE q;
    RETURN q;
END $$;

-- Some columns of some rows; every now and then several times, or of all rows.
CREATE FUNCTION chaos.update(tab regclass, r bigint, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text; c chaos.col; d chaos.col; sets text;
BEGIN
    c := chaos.pick_col(tab, r);
    d := chaos.pick_col(tab, r + 1);
    IF c.name IS NULL THEN
        RETURN '-- nothing to update in ' || tab;
    END IF;
    sets := format('%I = %s', c.name, chaos.expr(c.type, '(' || r % 100000 || ' + length(ctid::text))',
                                                 c.required));
    IF d.name <> c.name AND r % 3 = 0 THEN
        sets := sets || format(', %I = %s', d.name, chaos.expr(d.type, (r % 1000)::text, d.required));
    ELSIF r % 7 = 0 THEN
        sets := format('%1$I = %1$I', c.name);
    END IF;
    q := format('UPDATE %s SET %s WHERE %s', tab, sets, chaos.some(tab, r, n));
    EXECUTE q;
    RETURN q;
END $$;

CREATE FUNCTION chaos.delete(tab regclass, r bigint, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text := format('DELETE FROM %s WHERE %s', tab, chaos.some(tab, r, n));
BEGIN
    EXECUTE q;
    RETURN q;
END $$;

-- Other keys for some rows; may fail by a key that is there.
CREATE FUNCTION chaos.move(tab regclass, r bigint, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text; c chaos.col;
BEGIN
    SELECT * INTO c FROM chaos.cols(tab) x WHERE x.key ORDER BY md5(x.pos || ':' || r) LIMIT 1;
    IF c.name IS NULL THEN
        RETURN chaos.update(tab, r, n);
    END IF;
    q := format('UPDATE %s SET %I = %s WHERE %s', tab, c.name,
                CASE WHEN c.type IN ('integer', 'bigint') THEN format('%I %% 400 + %s', c.name, r % 20 * 1000)
                ELSE format('%I || ''m'' || %s', c.name, r % 10) END, chaos.some(tab, r, n));
    EXECUTE q;
    RETURN q;
END $$;

-- Two or three rows change places, by way of a key that is nobody's.
CREATE FUNCTION chaos.swap(tab regclass, r bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE k text[]; cols text; types text[]; away text; q text; done text := ''; n int := 2 + r % 2; i int;
    values text[]; names text[];
BEGIN
    SELECT string_agg(quote_ident(name), ', ' ORDER BY pos), array_agg(type ORDER BY pos),
           array_agg(quote_ident(name) ORDER BY pos) INTO cols, types, names
    FROM chaos.cols(tab) WHERE key;
    IF cols IS NULL THEN
        RETURN '-- no key in ' || tab;
    END IF;
    EXECUTE format('SELECT array_agg(k) FROM (SELECT concat_ws('', '', %s) AS k FROM %s ORDER BY '
                   'md5(ctid::text || %s) LIMIT %s) x',
                   (SELECT string_agg(format('quote_literal(%s)', c), ', ') FROM unnest(names) c),
                   tab, r, n) INTO k;
    IF coalesce(array_length(k, 1), 0) < n THEN
        RETURN '-- too few rows in ' || tab;
    END IF;
    away := array_to_string(ARRAY(SELECT CASE WHEN t = 'text' THEN quote_literal('~' || r)
                                  ELSE (100000 + r % 100000)::text END FROM unnest(types) t), ', ');
    values := ARRAY[away] || k || ARRAY[away];
    FOR i IN 1..n + 1 LOOP -- the first goes away, each takes the place before it, the first the last
        q := format('UPDATE %s SET (%s) = ROW(%s) WHERE (%s) = (%s)', tab, cols,
                    CASE WHEN i = 1 THEN away WHEN i = n + 1 THEN k[n] ELSE k[i - 1] END, cols,
                    CASE WHEN i = n + 1 THEN away ELSE k[i] END);
        EXECUTE q;
        done := done || q || '; ';
    END LOOP;
    RETURN done;
END $$;

-- Every transaction of note ends with it: both tables say the same number.
CREATE FUNCTION chaos.mark(r bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['marks_a', 'marks_b'] LOOP
        EXECUTE format('UPDATE %s SET tx = tx + 1', t);
        IF r % 7 = 0 THEN
            EXECUTE format('UPDATE %s SET id = 21 - id + 1000', t);
            EXECUTE format('UPDATE %s SET id = id - 1000', t);
        ELSIF r % 41 = 0 THEN
            EXECUTE format('CREATE TEMP TABLE keep ON COMMIT DROP AS SELECT * FROM %s', t);
            EXECUTE format('TRUNCATE %s', t);
            EXECUTE format('INSERT INTO %s SELECT * FROM keep', t);
            DROP TABLE keep;
        ELSIF r % 13 = 0 THEN
            EXECUTE format('UPDATE %s SET pad = repeat(md5(id || %L), 90) WHERE id %% 3 = 0', t, r);
        END IF;
    END LOOP;
    RETURN 'mark ' || (SELECT max(tx) FROM marks_a);
END $$;

-- Alters the table; answers with what it did.
CREATE FUNCTION chaos.alter(tab regclass, what text, r bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c chaos.col; d chaos.col; q text; fresh text; type text; def text;
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = tab);
    keyed boolean := EXISTS (SELECT FROM chaos.cols(tab) WHERE key);
BEGIN
    c := chaos.pick_col(tab, r);
    d := chaos.pick_col(tab, r + 1);
    SELECT f INTO fresh FROM unnest('{c1,c2,c3,c4,c5,v,n}'::text[]) f
    WHERE f NOT IN (SELECT name FROM chaos.cols(tab)) ORDER BY md5(f || r) LIMIT 1;
    type := (ARRAY['integer', 'text', 'bigint', 'numeric(8,2)', 'varchar(20)', 'timestamptz', 'boolean'])
            [1 + (r / 4) % 7];
    def := chaos.expr(format_type(type::regtype, CASE WHEN type LIKE 'numeric%' THEN 524294 WHEN type LIKE
                      'varchar%' THEN 24 ELSE -1 END), (r % 1000)::text, true);
    q := CASE WHEN fresh IS NULL AND what ~ '^(add|rename)' OR c.name IS NULL AND what !~ '^(add|identity|code|key|re)'
            THEN NULL ELSE CASE what
        WHEN 'add' THEN format('ALTER TABLE %s ADD %I %s', tab, fresh, type)
        WHEN 'add default' THEN format('ALTER TABLE %s ADD %I %s DEFAULT %s', tab, fresh, type, def)
        WHEN 'add not null' THEN format('ALTER TABLE %s ADD %I %s NOT NULL DEFAULT %s', tab, fresh, type, def)
        WHEN 'add volatile' THEN format('ALTER TABLE %s ADD %I text DEFAULT md5(random()::text)', tab, fresh)
        WHEN 'drop' THEN CASE WHEN (SELECT count(*) FROM chaos.cols(tab)) > 1 THEN
            format('ALTER TABLE %s DROP %I', tab, c.name) END
        WHEN 'drop and add' THEN format('ALTER TABLE %s DROP %I; ALTER TABLE %1$s ADD %2$I %s', tab, c.name,
                                        CASE WHEN r % 2 = 0 THEN c.type ELSE type END)
        WHEN 'rename' THEN format('ALTER TABLE %s RENAME %I TO %I', tab, c.name, fresh)
        WHEN 'swap names' THEN CASE WHEN c.name <> d.name THEN
            format('ALTER TABLE %s RENAME %I TO swap_; ALTER TABLE %1$s RENAME %3$I TO %2$I; ALTER TABLE '
                   '%1$s RENAME swap_ TO %3$I', tab, c.name, d.name) END
        WHEN 'widen' THEN CASE
            WHEN c.type LIKE 'character varying(%' THEN format('ALTER TABLE %s ALTER %I TYPE %s', tab, c.name,
                CASE WHEN r % 3 = 0 THEN 'text' ELSE 'varchar(' || substring(c.type FROM '\d+')::int + 5 || ')'
                END)
            WHEN c.type LIKE 'numeric(%' THEN format('ALTER TABLE %s ALTER %I TYPE numeric(%s,2)', tab, c.name,
                least(30, substring(c.type FROM '\d+')::int + 2))
            WHEN c.type = 'integer' THEN format('ALTER TABLE %s ALTER %I TYPE bigint', tab, c.name) END
        WHEN 'type' THEN CASE
            WHEN c.type IN ('integer', 'bigint') THEN format('ALTER TABLE %s ALTER %I TYPE %s USING %2$I * 2 %% '
                '100000', tab, c.name, CASE WHEN r % 2 = 0 THEN 'integer' ELSE 'bigint' END)
            WHEN c.type = 'text' AND r % 3 = 0 THEN format('ALTER TABLE %s ALTER %I TYPE varchar(60) USING '
                'left(%2$I, 60)', tab, c.name)
            WHEN c.type = 'text' THEN format('ALTER TABLE %s ALTER %I TYPE text USING reverse(%2$I)', tab, c.name)
            WHEN c.type <> 'jsonb' AND c.type NOT LIKE '%[]' THEN
                format('ALTER TABLE %s ALTER %I DROP DEFAULT, ALTER %2$I TYPE text USING %2$I::text', tab,
                       c.name) END
        WHEN 'null' THEN format('ALTER TABLE %s ALTER %I %s NOT NULL', tab, c.name,
                                CASE WHEN c.required THEN 'DROP' ELSE 'SET' END)
        WHEN 'default' THEN format('ALTER TABLE %s ALTER %I SET DEFAULT NULL', tab, c.name)
        WHEN 'storage' THEN CASE WHEN c.type = 'text' THEN format('ALTER TABLE %s ALTER %I SET STORAGE %s', tab,
            c.name, (ARRAY['EXTERNAL', 'EXTENDED', 'MAIN'])[1 + r % 3]) END
        WHEN 'identity' THEN CASE WHEN keyed AND kind = 'r' THEN
            format('ALTER TABLE %s REPLICA IDENTITY %s', tab, CASE WHEN r % 2 = 0 THEN 'FULL' ELSE 'DEFAULT' END)
            END
        WHEN 'code' THEN format('DELETE FROM kv WHERE code IS NULL; ALTER TABLE kv ALTER code SET NOT NULL; '
            'ALTER TABLE kv REPLICA IDENTITY %s', CASE WHEN r % 2 = 0 THEN 'DEFAULT' ELSE
            'USING INDEX kv_code_key' END)
        WHEN 'key' THEN CASE WHEN tab = 'swapped'::regclass THEN CASE WHEN keyed THEN
            'ALTER TABLE swapped DROP CONSTRAINT swapped_pkey, REPLICA IDENTITY FULL' ELSE
            'DELETE FROM swapped s WHERE EXISTS (SELECT FROM swapped t WHERE t.id = s.id AND t.ctid > s.ctid) OR '
            'id IS NULL; ALTER TABLE swapped ADD CONSTRAINT swapped_pkey PRIMARY KEY (id), REPLICA IDENTITY '
            'DEFAULT' END END
        WHEN 'rewrite' THEN CASE WHEN keyed AND kind = 'r' THEN format('CLUSTER %s USING %s', tab,
            (SELECT indexrelid::regclass FROM pg_index WHERE indrelid = tab AND indisprimary)) END
    END END;
    IF q IS NULL THEN
        RETURN format('-- not to be had: %s %s', tab, what);
    END IF;
    EXECUTE q;
    RETURN q;
END $$;

-- A leaf comes, goes, is emptied.
CREATE FUNCTION chaos.leaf(what text, r bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text;
BEGIN
    q := CASE what
        WHEN 'truncate' THEN 'TRUNCATE parts_c'
        WHEN 'detach' THEN CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'parts_b'::regclass) THEN
            'ALTER TABLE parts DETACH PARTITION parts_b' ELSE
            'DELETE FROM parts WHERE id >= 150 AND id < 300; ALTER TABLE parts ATTACH PARTITION parts_b FOR '
            'VALUES FROM (150) TO (300)' END
        WHEN 'new' THEN CASE WHEN to_regclass('parts_d') IS NULL THEN
            'DELETE FROM parts WHERE id >= 300 AND id < 350; CREATE TABLE parts_d PARTITION OF parts FOR VALUES '
            'FROM (300) TO (350)' ELSE 'DROP TABLE parts_d' END
    END;
    EXECUTE q;
    RETURN q;
END $$;

-- Another table under the name, with another shape each time.
CREATE FUNCTION chaos.recreate(tab text, r bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text := format('DROP TABLE IF EXISTS %I; ', tab) || (ARRAY[
    'CREATE TABLE %I (id int PRIMARY KEY, v text)',
    'CREATE TABLE %I (v text, n int); ALTER TABLE %1$I REPLICA IDENTITY FULL',
    'CREATE TABLE %I (a text NOT NULL, id bigint NOT NULL, w numeric(9,3), PRIMARY KEY (a, id))',
    'CREATE TABLE %I (id int PRIMARY KEY, v bigint DEFAULT 7, d text)'])[1 + r % 4];
BEGIN
    q := format(q, tab);
    EXECUTE q;
    RETURN q || '; ' || chaos.insert(tab::regclass, r, 40);
END $$;

CREATE FUNCTION chaos.drop(tab text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE %I', tab);
    RETURN 'DROP TABLE ' || tab;
END $$;

-- Two tables change their names.
CREATE FUNCTION chaos.swap_tables(one text, two text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q text := format('ALTER TABLE %I RENAME TO swap_; ALTER TABLE %I RENAME TO %1$I; ALTER TABLE swap_ '
                         'RENAME TO %2$I', one, two);
BEGIN
    EXECUTE q;
    RETURN q;
END $$;

-- Something of every table, so that what was altered last is announced.
CREATE FUNCTION chaos.touch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             AND NOT relispartition AND relname NOT IN ('fence', 'marks_a', 'marks_b') LOOP
        PERFORM chaos.insert(t, 77, 2);
        PERFORM chaos.update(t, 77, 2);
    END LOOP;
END $$;

SELECT chaos.insert(t, 1, 120) FROM unnest('{kv,names,docs,lines,parts,kinds,scratch,swapped}'::regclass[]) t;

-- Tables that are on their way between two names get theirs back.
CREATE FUNCTION chaos.mend() RETURNS void LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
    FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             AND relname ~ '_away$' LOOP
        IF to_regclass(replace(t, '_away', '')) IS NULL THEN
            EXECUTE format('ALTER TABLE %I RENAME TO %I', t, replace(t, '_away', ''));
        ELSE
            EXECUTE format('DROP TABLE %I', t);
        END IF;
    END LOOP;
END $$;
