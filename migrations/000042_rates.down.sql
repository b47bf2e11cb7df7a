drop function statek.draw(text, integer, integer, integer, integer);
drop table statek.rates;
