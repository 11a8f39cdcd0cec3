-- KGC's schema uses both; only a superuser can create them, so they are made with the database.
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS pgcrypto;
