drop function statek.commit_job(uuid, uuid, bigint, text, integer, bigint, text, text, text, text, text, timestamptz, text, text,
    text[], integer[], integer[], timestamptz[], text[], bigint[], text[], integer[], text[], text[], text[]);
