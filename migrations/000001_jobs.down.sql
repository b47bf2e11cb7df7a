-- The role statek_tool stays: other databases of the cluster may use it.
drop schema statek cascade;
