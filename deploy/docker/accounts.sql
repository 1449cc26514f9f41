-- The accounts that docs/OPERATIONS.md lists, on each database of compose.yaml, and the application's.
CREATE USER app IDENTIFIED BY 'app-example';
GRANT ALL ON `tenant\_%`.* TO app;
CREATE USER bulkhead_probe IDENTIFIED BY 'probe-example';
GRANT ALL ON bulkhead.* TO bulkhead_probe;
GRANT SLAVE MONITOR ON *.* TO bulkhead_probe;
CREATE USER bulkhead IDENTIFIED BY 'control-example';
GRANT CONNECTION ADMIN, SELECT, TRIGGER, PROCESS ON *.* TO bulkhead;
