drop table statek.approvals;
delete from statek.waits where kind in ('go', 'approval', 'job', 'objects');
delete from statek.wait_groups where kind in ('go', 'job', 'objects');
alter table statek.wait_groups drop constraint wait_groups_kind_check,
  add constraint wait_groups_kind_check check (kind in ('event', 'sql'));
alter table statek.waits drop constraint waits_kind_check,
  add constraint waits_kind_check check (kind in ('sleep', 'until', 'event', 'message', 'sql'));
