-- The demo database of docker-compose.yml: three tables, and trade(), which one of its services
-- calls four times a second. Run once, when the server's volume is made.
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    country char(2) NOT NULL,
    since timestamptz NOT NULL DEFAULT now());
CREATE TABLE stock (
    product text PRIMARY KEY,
    price numeric(10,2) NOT NULL,
    pieces int NOT NULL);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    product text NOT NULL REFERENCES stock,
    pieces int NOT NULL,
    total numeric(12,2) NOT NULL,
    state text NOT NULL DEFAULT 'open',
    at timestamptz NOT NULL DEFAULT now());

INSERT INTO customers (name, country)
    SELECT 'customer ' || i, (ARRAY['DE', 'FR', 'IN', 'JP', 'US'])[1 + i % 5] FROM generate_series(1, 1000) i;
INSERT INTO stock
    SELECT 'product ' || i, 1 + i * 0.75, 1000 FROM generate_series(1, 50) i;
INSERT INTO orders (customer, product, pieces, total, state)
    SELECT 1 + i % 1000, product, 1 + i % 3, (1 + i % 3) * price, 'paid'
    FROM generate_series(1, 10000) i JOIN stock ON product = 'product ' || 1 + i % 50;

-- One order, which takes its pieces from the stock; an old one is paid; a few are cancelled.
CREATE FUNCTION trade() RETURNS void LANGUAGE sql AS $$
    WITH sold AS (
        UPDATE stock SET pieces = CASE WHEN pieces < 10 THEN 1000 ELSE pieces - 2 END
        WHERE product = (SELECT 'product ' || 1 + floor(random() * 50)::int) RETURNING product, price)
    INSERT INTO orders (customer, product, pieces, total)
        SELECT 1 + floor(random() * 1000)::int, product, 2, 2 * price FROM sold;
    UPDATE orders SET state = 'paid' WHERE id = (SELECT min(id) FROM orders WHERE state = 'open');
    DELETE FROM orders WHERE random() < 0.1 AND id = (SELECT max(id) FROM orders) - 20;
$$;

-- Penstock's role (docs/postgres.md): it reads. The tables are somebody else's, who publishes them.
CREATE ROLE penstock LOGIN REPLICATION PASSWORD 'penstock';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO penstock;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO penstock;
CREATE PUBLICATION penstock_shop FOR ALL TABLES WITH (publish_via_partition_root = true);
CREATE PUBLICATION penstock_shop_postgres FOR ALL TABLES WITH (publish_via_partition_root = true);
