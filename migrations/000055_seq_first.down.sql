alter table statek.job_state drop constraint core_at_seq;
alter table statek.job_state add constraint core_at_seq check (substring(core::text from '"seq": *([0-9]+)')::bigint = seq);
