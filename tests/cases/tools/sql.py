#!/usr/bin/env python3
"""Somebody else's SQL. usage: sql.py STATEMENT...; each is a transaction of its own, and `sleep N` waits."""
import os
import sys
import time

import psycopg

with psycopg.connect(os.environ["KSCEN_POSTGRES_URL"], autocommit=True) as connection:
    for statement in sys.argv[1:]:
        if statement.startswith("sleep "):
            time.sleep(float(statement[6:]))
        else:
            print(connection.execute(statement).statusmessage)
