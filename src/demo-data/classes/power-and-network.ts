/** Words for supply, uplink and login events. */
import type { EventClass } from "../tables.ts";

export const powerLoss: EventClass = {
  statements: {
    common: [
      "[mains|grid] supply [lost|gone] on phase L{digit}, [running on battery at {percent} %|battery at {percent} %]",
      "no mains voltage at {place} since {time}, [UPS|battery] carries the load",
      "[blackout|outage] at {place}, everything [dark|off] except the gateway on its battery",
      "main breaker tripped at {place} and [will not reset|stays off], {asset} is dead",
      "undervoltage on the incoming feeder, {asset} switched off at {time}",
      "input voltage fell to {digit} V, about {minutes} min of battery left",
      "the street has no electricity, {place} runs on the emergency battery",
      "phase L{digit} missing at the meter, [{asset} cannot start|supply interrupted]",
    ],
    heldOut: [
      "utility feed dead at {place}, inverter took the load at {time}",
      "current went away at {place} and the site lives on its accumulator",
      "fuse of the incoming line blew, {asset} without voltage",
    ],
  },
  names: {
    common: [
      "power loss",
      "mains failure",
      "a power cut",
      "loss of supply",
      "an outage of the grid",
    ],
    heldOut: ["a blackout", "missing line voltage"],
  },
  clauses: {
    common: [
      "the mains failed",
      "power went off",
      "the supply was lost",
      "the grid voltage dropped out",
      "the main breaker tripped",
    ],
    heldOut: ["the electricity went away", "the line voltage collapsed"],
  },
};

export const powerRestored: EventClass = {
  statements: {
    common: [
      "[mains|grid] supply back on all phases, battery charging at {percent} %",
      "electricity returned at {place} at {time}, {asset} restarted by itself",
      "outage over, {place} on normal supply again since {time}",
      "breaker reset, voltage stable at {volts} V, UPS left standby",
      "supply normal again after {minutes} min, [{asset} restarted|all loads reconnected]",
      "incoming feeder healthy again, generator shut down at {time}",
    ],
    heldOut: [
      "utility feed alive once more at {place}, inverter handed the load back",
      "lights on again at {place}, accumulator refilling since {time}",
      "current returned on every phase, {asset} came up without help",
    ],
  },
  names: {
    common: ["return of supply", "power back to normal", "restored mains", "the end of the outage"],
    heldOut: ["recovered line voltage", "the return of the grid"],
  },
};

export const linkFlap: EventClass = {
  statements: {
    common: [
      "{link} down and up {count} times within {minutes} minutes",
      "{link} keeps [dropping|disconnecting], reconnect number {count} since {time}",
      "packet loss at {percent} % on {link}, session to the cloud reopened {count} times",
      "interface eth{digit} changed state to down, up, down again within {minutes} s",
      "heartbeats arrive in bursts, {link} comes and goes",
      "carrier lost on {link}, regained, lost again, {count} events this hour",
      "broker connection of {place} unstable, {count} reconnects since {time}",
    ],
    heldOut: [
      "{link} bounces, {count} outages of a few seconds each",
      "modem at {place} re-registers with the tower every {minutes} min",
      "data from {place} arrives with gaps, the connection breaks off and recovers all day",
    ],
  },
  names: {
    common: ["link flapping", "an unstable uplink", "network dropouts", "a bad connection"],
    heldOut: ["an intermittent carrier", "a shaky line to the cloud"],
  },
  clauses: {
    common: [
      "{link} started to flap",
      "the connection kept dropping",
      "the uplink became unstable",
      "the network link went up and down",
    ],
    heldOut: ["{link} began to bounce", "the modem lost its carrier again and again"],
  },
};

export const authFailure: EventClass = {
  statements: {
    common: [
      "login for user {user} rejected {count} times from {ip}",
      "invalid password for {user}, account locked for {minutes} min",
      "certificate of {place} refused by the broker: signature not valid",
      "{count} wrong PIN entries at the panel in {place}",
      "ssh: permission denied for {user} from {ip}, attempt {count}",
      "token expired, cloud answers 401 to every request of this gateway",
      "badge of {user} not accepted by the reader at {place}, {count} tries",
    ],
    heldOut: [
      "someone guesses passwords for {user}, {count} tries from {ip}",
      "credentials of {user} turned down by the panel at {place}",
      "handshake with the cloud aborted: client key not trusted",
    ],
  },
  names: {
    common: ["rejected logins", "an authentication failure", "a wrong password", "refused access"],
    heldOut: ["denied credentials", "a password guessing attempt"],
  },
  clauses: {
    common: [
      "the login of {user} was rejected",
      "wrong passwords were tried for {user}",
      "the broker refused the certificate",
      "access was denied to {user}",
    ],
    heldOut: ["the credentials of {user} were turned down", "a password guessing run started"],
  },
};
