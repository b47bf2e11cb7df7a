drop function statek.take_message(uuid, bigint, uuid, integer, integer);
drop function statek.withdraw_waits(uuid, integer, integer[]);
drop function statek.join_waits(uuid, integer, integer[], text);
drop function statek.fire_timers(timestamptz, integer);
drop function statek.settle_waits(bigint[], text[], json[]);
drop function statek.drop_waits(bigint[], bigint[]);
delete from statek.mailbox where kind = 'rejected';
alter table statek.mailbox drop constraint mailbox_kind_check,
  add constraint mailbox_kind_check
    check (kind in ('message', 'interrupt', 'resolved', 'timeout', 'cancel', 'pause', 'resume'));
drop index statek.waits_set;
update statek.waits set set_id = null where set_id is not null;
alter table statek.waits drop constraint waits_set_id_fkey;
drop table statek.wait_sets;
create table statek.wait_sets (
  id     bigint generated always as identity primary key,
  job_id uuid not null references statek.jobs(id) on delete cascade
);
alter table statek.waits add constraint waits_set_id_fkey foreign key (set_id) references statek.wait_sets(id);
