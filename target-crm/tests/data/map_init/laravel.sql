-- As Laravel makes it: names that are unique, documents of type json, activities with a join table for each kind of
-- record.
CREATE TABLE roles (id serial PRIMARY KEY, name varchar(255) NOT NULL);
CREATE TABLE users (id serial PRIMARY KEY, name varchar(255) NOT NULL, email varchar(255) NOT NULL UNIQUE, status boolean NOT NULL DEFAULT false, role_id int NOT NULL REFERENCES roles, created_at timestamp(0), updated_at timestamp(0));
CREATE TABLE organizations (id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, address json, created_at timestamp(0), updated_at timestamp(0), user_id int REFERENCES users);
CREATE TABLE persons (id serial PRIMARY KEY, name varchar(255) NOT NULL, emails json NOT NULL, contact_numbers json, organization_id int REFERENCES organizations, created_at timestamp(0), updated_at timestamp(0), job_title varchar(255), user_id int REFERENCES users, unique_id varchar(255) UNIQUE);
CREATE TABLE lead_types (id serial PRIMARY KEY, name varchar(255) NOT NULL);
CREATE TABLE leads (id serial PRIMARY KEY, title varchar(255) NOT NULL, description text, lead_value numeric(12, 4), status boolean, lost_reason text, closed_at timestamp(0), user_id int REFERENCES users, person_id int REFERENCES persons, lead_type_id int NOT NULL REFERENCES lead_types, created_at timestamp(0), updated_at timestamp(0), expected_close_date date);
CREATE TABLE activities (id serial PRIMARY KEY, title varchar(255), type varchar(255) NOT NULL, comment text, additional json, schedule_from timestamp(0), schedule_to timestamp(0), is_done boolean NOT NULL DEFAULT false, user_id int REFERENCES users, created_at timestamp(0), updated_at timestamp(0));
CREATE TABLE lead_activities (activity_id int NOT NULL REFERENCES activities, lead_id int NOT NULL REFERENCES leads);
CREATE TABLE person_activities (activity_id int NOT NULL REFERENCES activities, person_id int NOT NULL REFERENCES persons);
CREATE TABLE organization_activities (activity_id int NOT NULL REFERENCES activities, organization_id int NOT NULL REFERENCES organizations);
INSERT INTO lead_types (name) VALUES ('New');
INSERT INTO organizations (name) VALUES ('Ромашка');
