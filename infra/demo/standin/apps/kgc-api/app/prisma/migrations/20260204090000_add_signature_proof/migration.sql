ALTER TABLE contracts ADD COLUMN IF NOT EXISTS proof text NOT NULL DEFAULT encode(gen_random_bytes(16), 'hex');
