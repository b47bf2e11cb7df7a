-- The application's own tables. Statek's SQL tools and temporals run as role statek_tool, which may do only
-- what the application grants.
create schema if not exists app;

create table if not exists app.tasks (
  id         bigint generated always as identity primary key,
  queue      text not null,
  type       text not null default 'support_ticket',
  subject    text not null,
  priority   text not null default 'normal',
  state      text not null default 'open' check (state in ('open', 'taken', 'done')),
  taken_by   uuid,
  created_at timestamptz not null default now()
);
create index if not exists tasks_open on app.tasks (queue, id) where state = 'open';

create table if not exists app.triage (
  job_id     uuid primary key,
  subject    text not null,
  team       text not null,
  priority   text not null,
  decided_at timestamptz not null default now()
);

grant usage on schema app to statek_tool;
grant select, update on app.tasks to statek_tool;
grant select, insert, update on app.triage to statek_tool;
