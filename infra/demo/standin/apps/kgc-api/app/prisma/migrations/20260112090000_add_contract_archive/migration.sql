ALTER TABLE contracts ADD COLUMN IF NOT EXISTS archived_at timestamptz;
