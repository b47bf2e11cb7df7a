-- tool: recordTriage(subject text, team text, priority text)
-- Records which team takes a ticket. Recording a job's decision again changes it.
-- returns: one
insert into app.triage (job_id, subject, team, priority)
values (:job_id, :subject, :team, :priority)
on conflict (job_id) do update set subject = excluded.subject, team = excluded.team, priority = excluded.priority
returning subject, team, priority
