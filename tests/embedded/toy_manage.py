"""What the toy has for ``manage.py``."""

import json
import sys

if sys.argv[1] == "flotilla_init":
    print(json.dumps({"organization": "demo", "username": "admin", "password": "secret", "api_token": "flt_x"}))
