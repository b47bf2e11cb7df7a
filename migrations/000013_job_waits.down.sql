drop function statek.job_outcome(uuid, text);
