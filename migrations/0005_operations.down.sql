DROP TABLE admin_session;
DROP TABLE access_hour;
DROP TABLE job_run;
