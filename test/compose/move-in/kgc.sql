-- As KGC's datamodel is pushed, with the extensions that its own init.sql makes.
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION pgcrypto;
CREATE TABLE tenants (id uuid NOT NULL DEFAULT uuid_generate_v4(), name text NOT NULL, created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT tenants_pkey PRIMARY KEY (id));
CREATE TABLE contracts (id uuid NOT NULL DEFAULT uuid_generate_v4(), tenant_id uuid NOT NULL, number text NOT NULL, archived_at timestamptz,
  proof text NOT NULL DEFAULT encode(gen_random_bytes(16), 'hex'), CONSTRAINT contracts_pkey PRIMARY KEY (id),
  CONSTRAINT contracts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE RESTRICT ON UPDATE CASCADE);
CREATE INDEX contracts_tenant_id_idx ON contracts (tenant_id);
INSERT INTO tenants (name) VALUES ('Zsolt'), ('Csilla'), ('Ádám'), ('Cukor');
INSERT INTO contracts (tenant_id, number) SELECT id, 'árvíztűrő ' || n FROM tenants, generate_series(1, 500) n;
-- a policy that hides all rows from whom it binds, and rights of a role that the new stack does not have
CREATE ROLE reporting;
GRANT SELECT ON contracts TO reporting;
CREATE SCHEMA tenant;
CREATE TABLE tenant.hidden AS SELECT n FROM generate_series(1, 7) n;
ALTER TABLE tenant.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY nobody ON tenant.hidden USING (false);
