-- The rows of `query` with tabs between, when there is a `table`.
\set ON_ERROR_STOP on
\pset fieldsep '\t'
-- whom row security hides rows from gets an error, not fewer rows
SET row_security = off;
SELECT to_regclass(:'table') IS NOT NULL AS there \gset
\if :there
:query;
\endif
