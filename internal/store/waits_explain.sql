-- name: WaitsOpen :many
select w.call, w.name, w.kind, w.created_at, w.due_at, g.last_result, g.last_error, g.last_at,
  coalesce((select array_agg(d.dep order by d.dep) from statek.wait_deps d where d.group_id = w.group_id), '{}')::text[] as deps
from statek.waits w
left join statek.wait_groups g on g.id = w.group_id
where w.job_id = $1
order by w.call;
