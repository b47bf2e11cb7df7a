alter table statek.job_state
  drop constraint sound_state,
  add constraint job_state_status_check check (status in ('READY', 'WARMING_UP', 'STARTED', 'SUSPENDED', 'PAUSED', 'DONE')),
  add constraint job_state_outcome_check check (outcome in ('succeeded', 'failed', 'cancelled')),
  add constraint outcome_when_done check ((status = 'DONE') = (outcome is not null)),
  add constraint core_at_seq check (substring(core::text from '"seq": *([0-9]+)')::bigint = seq);
drop function statek.sound_state(text, text, bigint, json);
