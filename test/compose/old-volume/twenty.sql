--
-- PostgreSQL database dump
--

\restrict b6pyYh87t5dV71iobZzU787qfMAnOrk6e9AflwQVv20crKBgcbY4wn6FDqxs3f8

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: core; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA core;


--
-- Name: unaccent; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;


--
-- Name: EXTENSION unaccent; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION unaccent IS 'text search dictionary that removes accents';


--
-- Name: uuid-ossp; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;


--
-- Name: EXTENSION "uuid-ossp"; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION "uuid-ossp" IS 'generate universally unique identifiers (UUIDs)';


--
-- Name: unaccent_immutable(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.unaccent_immutable(input text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$SELECT public.unaccent('public.unaccent'::regdictionary, input)$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: _typeorm_migrations; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core._typeorm_migrations (
    id integer NOT NULL,
    "timestamp" bigint NOT NULL,
    name character varying NOT NULL
);


--
-- Name: _typeorm_migrations_id_seq; Type: SEQUENCE; Schema: core; Owner: -
--

CREATE SEQUENCE core._typeorm_migrations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: _typeorm_migrations_id_seq; Type: SEQUENCE OWNED BY; Schema: core; Owner: -
--

ALTER SEQUENCE core._typeorm_migrations_id_seq OWNED BY core._typeorm_migrations.id;


--
-- Name: encryption; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.encryption (
    fingerprint text NOT NULL,
    since timestamp with time zone DEFAULT now()
);


--
-- Name: job; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.job (
    queue text NOT NULL,
    id text NOT NULL,
    name text,
    result text,
    done_at timestamp with time zone DEFAULT now()
);


--
-- Name: person; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.person (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    first_name text NOT NULL,
    last_name text NOT NULL,
    created_at timestamp with time zone DEFAULT now()
);


--
-- Name: TABLE person; Type: COMMENT; Schema: core; Owner: -
--

COMMENT ON TABLE core.person IS 'people';


--
-- Name: token; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.token (
    hash text NOT NULL,
    kind text NOT NULL,
    user_id uuid,
    created_at timestamp with time zone DEFAULT now()
);


--
-- Name: upgradeMigration; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core."upgradeMigration" (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying NOT NULL,
    status character varying NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    "executedByVersion" character varying NOT NULL,
    "errorMessage" text,
    "isInitial" boolean DEFAULT false NOT NULL,
    "workspaceId" uuid,
    "createdAt" timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: user; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core."user" (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email text NOT NULL,
    password text NOT NULL,
    can_access_full_admin_panel boolean NOT NULL
);


--
-- Name: user_workspace; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.user_workspace (
    user_id uuid NOT NULL,
    workspace_id uuid NOT NULL
);


--
-- Name: webhook; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.webhook (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    target_url text NOT NULL,
    secret text NOT NULL,
    operations text[] NOT NULL
);


--
-- Name: workspace; Type: TABLE; Schema: core; Owner: -
--

CREATE TABLE core.workspace (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    display_name text DEFAULT ''::text,
    activation_status text DEFAULT 'PENDING_CREATION'::text
);


--
-- Name: _typeorm_migrations id; Type: DEFAULT; Schema: core; Owner: -
--

ALTER TABLE ONLY core._typeorm_migrations ALTER COLUMN id SET DEFAULT nextval('core._typeorm_migrations_id_seq'::regclass);


--
-- Data for Name: _typeorm_migrations; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core._typeorm_migrations (id, "timestamp", name) FROM stdin;
1	1700140427984	SetupMetadataTables1700140427984
\.


--
-- Data for Name: encryption; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.encryption (fingerprint, since) FROM stdin;
x	2026-11-28 22:06:00.548493+00
\.


--
-- Data for Name: job; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.job (queue, id, name, result, done_at) FROM stdin;
\.


--
-- Data for Name: person; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.person (id, first_name, last_name, created_at) FROM stdin;
ad0ea58e-e831-4af5-8cc3-5bc88ceec53d	Ádám	Kis	2026-11-28 22:06:00.544067+00
f02002b8-09f2-4664-a3df-1595d16ea2c4	Zsolt	Nagy	2026-11-28 22:06:00.544067+00
7d938b64-b8dc-4eed-b9e0-2def3bec1a2e	Éva	Tóth	2026-11-28 22:06:00.544067+00
7569c00d-c71f-48aa-96c0-0ce67b670216	Anna	Szabó	2026-11-28 22:06:00.544067+00
\.


--
-- Data for Name: token; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.token (hash, kind, user_id, created_at) FROM stdin;
\.


--
-- Data for Name: upgradeMigration; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core."upgradeMigration" (id, name, status, attempt, "executedByVersion", "errorMessage", "isInitial", "workspaceId", "createdAt") FROM stdin;
8b65f203-3377-47c1-8d72-72a339d3a62e	1690000000000-legacy	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.211699+00
d40005e9-ee8c-4411-95fe-314f8af53d97	1700000000000-workspace	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.224732+00
b86974cc-1411-4326-9734-8c6315032b51	1710000000000-user	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.258822+00
cda4e05a-3990-4f59-9dfe-0e951887c52d	1715000000000-token	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.296772+00
4f020f79-ed49-4b84-ab08-1fa89ed11900	1716000000000-user-workspace	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.352009+00
e842bccc-5979-48c3-ba0b-bde9f5f03167	1720000000000-person	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.378042+00
9812ce4d-9041-44e1-8610-ec222006b519	1730000000000-webhook	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.394764+00
7d93867b-3d05-4b95-b4de-9e7b6223856f	1740000000000-job	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.426977+00
32b2cdc3-984e-4638-acf3-11a80ffa871a	1750000000000-encryption	completed	1	2.45.6	\N	f	\N	2026-11-28 22:06:00.455309+00
\.


--
-- Data for Name: user; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core."user" (id, email, password, can_access_full_admin_panel) FROM stdin;
72485b3f-e562-43c4-ba1d-3c2d0b651f2d	admin@kgc.localhost	x	t
\.


--
-- Data for Name: user_workspace; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.user_workspace (user_id, workspace_id) FROM stdin;
72485b3f-e562-43c4-ba1d-3c2d0b651f2d	4d749a91-f3f5-4803-a172-9d6a3b1a91b7
\.


--
-- Data for Name: webhook; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.webhook (id, target_url, secret, operations) FROM stdin;
\.


--
-- Data for Name: workspace; Type: TABLE DATA; Schema: core; Owner: -
--

COPY core.workspace (id, display_name, activation_status) FROM stdin;
4d749a91-f3f5-4803-a172-9d6a3b1a91b7	KGC	ACTIVE
\.


--
-- Name: _typeorm_migrations_id_seq; Type: SEQUENCE SET; Schema: core; Owner: -
--

SELECT pg_catalog.setval('core._typeorm_migrations_id_seq', 1, true);


--
-- Name: _typeorm_migrations _typeorm_migrations_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core._typeorm_migrations
    ADD CONSTRAINT _typeorm_migrations_pkey PRIMARY KEY (id);


--
-- Name: encryption encryption_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.encryption
    ADD CONSTRAINT encryption_pkey PRIMARY KEY (fingerprint);


--
-- Name: job job_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (queue, id);


--
-- Name: person person_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);


--
-- Name: token token_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.token
    ADD CONSTRAINT token_pkey PRIMARY KEY (hash);


--
-- Name: upgradeMigration upgradeMigration_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core."upgradeMigration"
    ADD CONSTRAINT "upgradeMigration_pkey" PRIMARY KEY (id);


--
-- Name: user user_email_key; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core."user"
    ADD CONSTRAINT user_email_key UNIQUE (email);


--
-- Name: user user_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core."user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);


--
-- Name: user_workspace user_workspace_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.user_workspace
    ADD CONSTRAINT user_workspace_pkey PRIMARY KEY (user_id, workspace_id);


--
-- Name: webhook webhook_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (id);


--
-- Name: workspace workspace_pkey; Type: CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.workspace
    ADD CONSTRAINT workspace_pkey PRIMARY KEY (id);


--
-- Name: person_name; Type: INDEX; Schema: core; Owner: -
--

CREATE INDEX person_name ON core.person USING btree (last_name, first_name);


--
-- Name: token token_user_id_fkey; Type: FK CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.token
    ADD CONSTRAINT token_user_id_fkey FOREIGN KEY (user_id) REFERENCES core."user"(id);


--
-- Name: user_workspace user_workspace_user_id_fkey; Type: FK CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.user_workspace
    ADD CONSTRAINT user_workspace_user_id_fkey FOREIGN KEY (user_id) REFERENCES core."user"(id);


--
-- Name: user_workspace user_workspace_workspace_id_fkey; Type: FK CONSTRAINT; Schema: core; Owner: -
--

ALTER TABLE ONLY core.user_workspace
    ADD CONSTRAINT user_workspace_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES core.workspace(id);


--
-- PostgreSQL database dump complete
--

\unrestrict b6pyYh87t5dV71iobZzU787qfMAnOrk6e9AflwQVv20crKBgcbY4wn6FDqxs3f8

