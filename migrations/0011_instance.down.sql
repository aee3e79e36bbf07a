DROP TABLE cleanup_day;
DROP TABLE instance;
