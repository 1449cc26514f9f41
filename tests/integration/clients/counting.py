"""PyMySQL writes rows until its stdin ends, and prints the id of each that was acknowledged.

argv: host port user password database first-id. Alone, and two at a time in transactions; the last line is `ok`, or an
error as it came.
"""
import select
import sys
import time

import pymysql

host, port, user, password, database, first = sys.argv[1:]
connection = pymysql.connect(
    host=host, port=int(port), user=user, password=password, database=database, autocommit=True
)
cursor = connection.cursor()
number = int(first)
while not select.select([sys.stdin], [], [], 0)[0]:
    cursor.execute("INSERT INTO counted VALUES (%s, 'autocommit')", (number,))
    print(number)
    connection.begin()
    for id in (number + 1, number + 2):
        cursor.execute("INSERT INTO counted VALUES (%s, 'transaction')", (id,))
    connection.commit()
    print(number + 1, number + 2, sep='\n', flush=True)
    number += 3
    time.sleep(0.005)  # the pace of an application: the machine is for the servers
cursor.execute('SELECT COUNT(*) FROM counted WHERE id BETWEEN %s AND %s', (int(first), number - 1))
assert cursor.fetchone() == (number - int(first),)
print('ok')
