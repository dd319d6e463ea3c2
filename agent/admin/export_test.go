package admin

// PodDirectory and DefaultSocketIn let tests have another directory than the machine's.
const PodDirectory = podDirectory

var DefaultSocketIn = defaultSocket
