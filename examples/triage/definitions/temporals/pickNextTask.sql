-- temporal: pickNextTask(queue text)
-- Waits for the next open task of a queue and takes it: no two jobs ever get the same one.
-- watch: app.tasks key queue

-- condition
select exists (select from app.tasks where queue = :queue and state = 'open')

-- complement
update app.tasks
set state = 'taken', taken_by = :job_id
where id = (
  select id from app.tasks
  where queue = :queue and state = 'open'
  order by id
  limit 1
  for no key update skip locked)
returning id, type, subject, priority

-- release
update app.tasks
set state = 'open', taken_by = null
where id = (:value->>'id')::bigint and state = 'taken'
