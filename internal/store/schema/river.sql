-- What our queries touch of River's table, for sqlc only. River's own migrations make the real one
-- (internal/queue/migrate.go).
create schema river;
create table river.river_job (
  id           bigserial primary key,
  args         jsonb not null,
  attempted_by text[],
  created_at   timestamptz not null,
  kind         text not null,
  queue        text not null,
  priority     smallint not null,
  scheduled_at timestamptz not null,
  state        text not null
);
