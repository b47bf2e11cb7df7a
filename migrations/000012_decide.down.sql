drop view statek.approval_overview;
drop function statek.decide(uuid, json, text);
drop function statek.decision_problem(statek.approvals, jsonb);
drop function statek.schema_problem(jsonb, jsonb, text);
