#!/bin/sh
# Loads the tiles of a served archive into pgstac and serves them with stac-fastapi, for bench.api_pgstac:
#   sh bench/api_pgstac.sh FOLDER http://127.0.0.1:8000/ 8080
# Needs PostgreSQL with PostGIS (Debian: postgresql postgresql-15-postgis-3), run as root. Stops its PostgreSQL server on exit.
set -eu
folder=$1 ours=${2%/} port=$3
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
mkdir -p "$folder/pg"
test -x "$folder/venv/bin/pypgstac" || {
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet stac-fastapi-pgstac==7.2.0 "pypgstac[psycopg]==0.10.0" uvicorn
}
chown postgres "$folder/pg"
test -e "$folder/pg/PG_VERSION" || su postgres -c "$bin/initdb -D $folder/pg -A trust -U bench" > /dev/null
su postgres -c "$bin/pg_ctl -D $folder/pg -o '-p 5439 -k $folder/pg -c listen_addresses=127.0.0.1' -w start" > /dev/null
trap 'su postgres -c "$bin/pg_ctl -D $folder/pg -m fast stop" > /dev/null' EXIT INT TERM
export PGHOST=127.0.0.1 PGPORT=5439 PGUSER=bench PGPASSWORD=bench PGDATABASE=bench
psql -d postgres -qc "CREATE DATABASE bench" 2> /dev/null && {
    "$folder/venv/bin/pypgstac" migrate
    curl -s "$ours/collections" | python3 -c "
import json, sys
for one in json.load(sys.stdin)['collections']:
    print(json.dumps(one))" > "$folder/collections.ndjson"
    # Only tiles; scenes are in separate collections.
    curl -s -H "Content-Type: application/json" -d '{"collections": ["sentinel2_l2a", "landsat_l2", "naip"], "limit": 1000000}' \
        "$ours/search/export" | python3 -c "
import json, sys
for one in json.load(sys.stdin)['features']:
    print(json.dumps(one))" > "$folder/items.ndjson"
    "$folder/venv/bin/pypgstac" load collections "$folder/collections.ndjson" --method insert
    "$folder/venv/bin/pypgstac" load items "$folder/items.ndjson" --method insert
    psql -qc "ANALYZE"
}
"$folder/venv/bin/uvicorn" --factory stac_fastapi.pgstac.app:create_app --host 127.0.0.1 --port "$port" --log-level warning
