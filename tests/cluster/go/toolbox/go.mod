module avatars.dev/tests/cluster/toolbox

go 1.21
