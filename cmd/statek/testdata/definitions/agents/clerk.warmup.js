print('first\nsecond', ticket)
