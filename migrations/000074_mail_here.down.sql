drop function statek.put_mail(uuid, text, text, uuid);
