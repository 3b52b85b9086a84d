-- As Rails makes it without foreign keys, several accounts in one database: account_id names the tenant.
CREATE TABLE accounts (id serial PRIMARY KEY, name varchar NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL, domain varchar(100), support_email varchar(100), status int DEFAULT 0);
CREATE TABLE users (id serial PRIMARY KEY, uid varchar NOT NULL DEFAULT '', name varchar NOT NULL, display_name varchar, email varchar, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE account_users (id bigserial PRIMARY KEY, account_id bigint, user_id bigint, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE companies (id bigserial PRIMARY KEY, name varchar NOT NULL, domain varchar, description text, account_id bigint NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE contacts (id serial PRIMARY KEY, name varchar DEFAULT '', email varchar, phone_number varchar, account_id int NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL, custom_attributes jsonb DEFAULT '{}', last_name varchar DEFAULT '', blocked boolean NOT NULL DEFAULT false, company_id bigint);
CREATE UNIQUE INDEX ON contacts (email, account_id);
CREATE TABLE messages (id serial PRIMARY KEY, content text, account_id int NOT NULL, conversation_id int NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE notes (id bigserial PRIMARY KEY, content text NOT NULL, account_id bigint NOT NULL, contact_id bigint NOT NULL, user_id bigint, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
INSERT INTO accounts (name, created_at, updated_at) VALUES ('We', now(), now());
