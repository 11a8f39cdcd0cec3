-- Prints what gives another database the rights that roles have in this one: default privileges, and those on the schema public.
\set ON_ERROR_STOP on
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s GRANT %s ON %s TO %I;', owner.rolname, 'IN SCHEMA ' || quote_ident(nspname), privilege_type,
  CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END, grantee.rolname)
FROM pg_default_acl LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace JOIN pg_roles owner ON owner.oid = defaclrole,
  aclexplode(defaclacl) JOIN pg_roles grantee ON grantee.oid = grantee
WHERE grantee.oid <> defaclrole
UNION ALL
SELECT format('GRANT %s ON SCHEMA public TO %I;', privilege_type, rolname)
FROM pg_namespace, aclexplode(nspacl) JOIN pg_roles ON pg_roles.oid = grantee
WHERE nspname = 'public' AND rolname !~ '^pg_';
