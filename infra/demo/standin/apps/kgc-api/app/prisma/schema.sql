-- What `prisma db push` would make of the schema file. The defaults come from the two extensions of init.sql.
CREATE TABLE IF NOT EXISTS tenants (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS contracts (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  number text NOT NULL,
  archived_at timestamptz,
  proof text NOT NULL DEFAULT encode(gen_random_bytes(16), 'hex')
);
