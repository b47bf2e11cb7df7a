drop function statek.all_claimed(json[]), statek.claimed(json);
